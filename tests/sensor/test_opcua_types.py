"""Structures that a real server (asyncua) tells a real client, the old way and the new: values are told field by field."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeArgument=false, reportUnknownParameterType=false, reportPrivateUsage=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import polars as pl
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.common.type_dictionary_builder import DataTypeDictionaryBuilder

from tests.sensor.opcua_plant import PASSWORD, URI, USER, Tap, node_id, running
from tests.sensor.records import rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def capture(
    folder: Path, prepare: Callable[[Any, int], Awaitable[None]], load: Callable[[Client], Awaitable[Any]]
) -> bytes:
    """A capture of a client that reads the value of Recipe, learns its types, and reads it again."""
    tap = Tap()
    async with running(folder, tap, secure=False) as (url, server, level):
        index = level.nodeid.NamespaceIndex
        await prepare(server, index)
        client = Client(url)
        client.set_user(USER)
        client.set_password(PASSWORD)
        async with client:
            recipe = client.get_node(node_id("Recipe", index))
            await recipe.read_data_value()
            await load(client)
            await recipe.read_data_value()
    return tap.pcap()


def recipes(path: Path) -> list[str]:
    items = rows(path, "opcua_item")
    found = items.filter(
        (pl.col("opcua.kind") == "read")
        & (pl.col("opcua.attribute") == "Value")
        & pl.col("opcua.node_id").str.ends_with(";s=Recipe")
    )
    assert set(found["opcua.data_type"]) == {"ExtensionObject"}
    return found["opcua.value"].to_list()


async def dictionary(server: Any, index: int) -> None:
    """Types in a data type dictionary (OPC 10000-5, annex D), as servers had them before version 1.04."""
    builder = DataTypeDictionaryBuilder(server, index, URI, "Types")
    await builder.init()
    step: Any = await builder.create_data_type("Step")
    step.add_field("Seconds", ua.VariantType.UInt32)
    step.add_field("Note", ua.VariantType.String)
    recipe: Any = await builder.create_data_type("Recipe")
    recipe.add_field("Name", ua.VariantType.String)
    recipe.add_field("Levels", ua.VariantType.Double, is_array=True)
    recipe.add_field("First", step)
    builder_types: Any = builder._type_dictionary
    recipe_fields = builder_types._structs_dict["Recipe"]
    assert recipe_fields[-1].attrib["TypeName"] == "tns:Step"
    await builder.set_dict_byte_string()
    await server.load_type_definitions()
    types: Any = ua
    value = types.Recipe(Name="mix", Levels=[1.5, 2.5], First=types.Step(Seconds=7, Note="slowly"))
    await server.nodes.objects.add_variable(
        node_id("Recipe", index), f"{index}:Recipe", ua.Variant(value), datatype=recipe.data_type
    )


def test_a_data_type_dictionary_that_is_read_tells_structures(tmp_path: Path) -> None:
    path = tmp_path / "dictionary.pcap"
    path.write_bytes(asyncio.run(capture(tmp_path, dictionary, lambda client: client.load_type_definitions())))
    before, after = recipes(path)
    assert before.endswith("bytes)"), "unknown before it is told: type and length"
    assert after == '{Name: "mix", Levels: [1.5, 2.5], First: {Seconds: 7, Note: "slowly"}}'


async def definitions(server: Any, index: int) -> None:
    """Types with the attribute DataTypeDefinition (OPC 10000-3, 8.48)."""
    await new_enum(server, index, "Mode", ["Off", "On"])
    await new_struct(
        server,
        index,
        "Recipe2",
        [
            new_struct_field("Name", ua.VariantType.String),
            new_struct_field("Levels", ua.VariantType.Double, array=True),
            new_struct_field("Note", ua.VariantType.String, optional=True),
            new_struct_field("Weight", ua.VariantType.Float, optional=True),
        ],
    )
    await server.load_data_type_definitions()
    types: Any = ua
    value = types.Recipe2(Name="mix", Levels=[1.5], Note=None, Weight=2.5)
    await server.nodes.objects.add_variable(node_id("Recipe", index), f"{index}:Recipe", ua.Variant(value))


async def read_definition(client: Client) -> None:
    """What a client does with a type that it does not know; `load_data_type_definitions` does it for all."""
    index = await client.get_namespace_index(URI)
    data_type = await client.get_node(node_id("Recipe", index)).read_data_type()
    await client.get_node(data_type).read_data_type_definition()


def test_definitions_of_data_types_that_are_read_tell_structures(tmp_path: Path) -> None:
    path = tmp_path / "definitions.pcap"
    path.write_bytes(asyncio.run(capture(tmp_path, definitions, read_definition)))
    before, after = recipes(path)
    assert before.endswith("bytes)")
    assert after == '{Name: "mix", Levels: [1.5], Weight: 2.5}'
