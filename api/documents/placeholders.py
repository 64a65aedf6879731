"""What a template may say between braces: names of what there is, conditions, and loops over lists. Nothing is called.

Templates come from people, and Jinja is a language: of it only what cannot do harm is taken, and every name is looked up before
anything is filled, on whichever branch it stands. A loop in a loop runs over what the innermost around it gives, so that nothing
is gone over more than once and what comes out is bounded by what goes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import UndefinedError
from jinja2.sandbox import SandboxedEnvironment

from api.documents.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

FILTERS: Final = ("upper", "lower", "trim", "length", "join")
"""Filters that may be used."""

SHOWN_CHARACTERS: Final = 120
"""How much of a placeholder is told at most."""

_LOOP: Final[Mapping[str, Any]] = dict.fromkeys(("index", "index0", "first", "last", "length"), "")
"""What a loop tells of itself."""

_NAMED: Final = (nodes.Name, nodes.Getattr, nodes.Getitem)


class Environment(SandboxedEnvironment):
    """Jinja as templates of documents may use it.

    Args:
        shape: what there is: texts by name, further names, and lists with one element.
    """

    def __init__(self, shape: Mapping[str, Any]) -> None:
        super().__init__(autoescape=True, undefined=StrictUndefined)
        self.filters = {name: self.filters[name] for name in FILTERS}
        self.globals = {}
        self.tests = {}
        self._shape = shape

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What stands under a name: never a method of what holds it."""
        if isinstance(obj, Mapping):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """What stands under a name. Raises UndefinedError where nothing does."""
        if isinstance(obj, Mapping):
            known = cast("Mapping[str, Any]", obj)
            if argument not in known:
                raise UndefinedError(str(argument))
            return known[argument]
        return super().getitem(obj, argument)

    def _generate(self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False) -> str:
        """Look at what is said before it becomes a program. Raises Fault."""
        _statements(source.body, self._shape, None)
        return super()._generate(source, name, filename, defer_init)


def _statements(body: Iterable[nodes.Node], scope: Mapping[str, Any], innermost: str | None) -> None:
    for node in body:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    if not isinstance(part, nodes.TemplateData):
                        _text(part, scope)
            case nodes.If():
                _value(node.test, scope)
                _statements([*node.body, *node.elif_, *node.else_], scope, innermost)
            case nodes.For() if not node.recursive and isinstance(node.target, nodes.Name):
                listed = _value(node.iter, scope)
                if not isinstance(listed, list) or (innermost is not None and _root(node.iter) != innermost):
                    raise _unfit(node.iter)
                first = cast("list[Any]", listed)[0]
                inner = {**scope, node.target.name: first, "loop": _LOOP}
                if node.test is not None:
                    _value(node.test, inner)
                _statements(node.body, inner, node.target.name)
                _statements(node.else_, scope, innermost)
            case _:
                raise _unfit(node)


def _text(node: nodes.Node, scope: Mapping[str, Any]) -> None:
    if isinstance(_value(node, scope), (dict, list)):
        raise _unfit(node)


def _value(node: nodes.Node, scope: Mapping[str, Any]) -> Any:
    """What an expression gives, as the shape has it. Raises Fault."""
    match node:
        case nodes.Const():
            return ""
        case nodes.Name() if node.ctx == "load":
            return _under(scope, node.name, node)
        case nodes.Getattr():
            return _under(_value(node.node, scope), node.attr, node)
        case nodes.Getitem() if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return _under(_value(node.node, scope), node.arg.value, node)
        case nodes.Filter() if node.node is not None and node.name in FILTERS and not (node.kwargs or node.dyn_args):
            parts, result = [*node.args, node.node], ""
        case nodes.Compare():
            parts, result = [node.expr, *(operand.expr for operand in node.ops)], ""
        case nodes.And() | nodes.Or():
            parts, result = [node.left, node.right], ""
        case nodes.Not():
            parts, result = [node.node], ""
        case nodes.CondExpr() if node.expr2 is not None:
            parts, result = [node.test, node.expr1, node.expr2], ""
        case nodes.Concat():
            parts, result = node.nodes, ""
        case _:
            raise _unfit(node)
    for part in parts:
        _value(part, scope)
    return result


def _under(holder: Any, name: str, node: nodes.Node) -> Any:
    if not isinstance(holder, Mapping) or name not in holder:
        raise Fault("placeholder_unknown", placeholder=_written(node))
    return cast("Mapping[str, Any]", holder)[name]


def _root(node: nodes.Node) -> str:
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        node = node.node
    return node.name if isinstance(node, nodes.Name) else ""


def _unfit(node: nodes.Node) -> Fault:
    return Fault("placeholder_unfit", placeholder=_written(node), line=str(node.lineno))


def _written(node: nodes.Node) -> str:
    """A placeholder as it was written, as far as that is known."""
    match node:
        case nodes.Name():
            said = node.name
        case nodes.Getattr():
            said = f"{_written(node.node)}.{node.attr}"
        case nodes.Getitem():
            said = f"{_written(node.node)}[{_written(node.arg)}]"
        case nodes.Const():
            said = repr(node.value)
        case nodes.Call():
            said = f"{_written(node.node)}(…)"
        case nodes.Filter():
            said = f"{'' if node.node is None else _written(node.node)}|{node.name}"
        case nodes.BinExpr():
            said = f"{_written(node.left)} {node.operator} {_written(node.right)}"
        case _:
            said = type(node).__name__.lower()
    return said[:SHOWN_CHARACTERS]
