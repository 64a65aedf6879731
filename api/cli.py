"""The `icsight` command. Each subcommand loads its own package only, so that a gateway needs no server's libraries."""

from __future__ import annotations

from importlib import import_module
from typing import Final, NoReturn

import click

from sensor import __version__
from sensor.terminal import CommandError, run

COMMANDS: Final = {
    "accounts": ("api.users.commands", "Let people in again who are locked out, on the machine itself."),
    "audit": ("api.audit.commands", "Check, export and sign the audit trail."),
    "backup": ("api.database.commands", "Write alerts, decisions, accounts and the audit trail into a file."),
    "baseline": ("detection.baseline.cli", "Learn, show, compare and approve what is normal."),
    "collect": ("collector.collect_command", "Store what sensors send to Kafka."),
    "config": ("api.configuration.commands", "Show the settings in force, and check that they work."),
    "dead-letters": ("collector.letters_command", "Look at batches that could not be stored."),
    "detect": ("detection.cli", "Find attacks in captures and print them as alerts."),
    "devices": ("detection.inventory.cli", "Print the devices that captures show, and what they are for."),
    "elasticsearch": ("collector.elastic_cli", "Set up and look after the cluster that keeps the records."),
    "evaluate": ("detection.evaluation.cli", "Measure detection on captures with labels."),
    "kafka": ("collector.stream.kafka_command", "Prepare a Kafka cluster: topics and rights."),
    "enrolment": ("api.enrolment.commands", "Let sensors enrol themselves: authority and one-time tokens."),
    "evidence": ("sensor.evidence", "Write the packets that a statement rests on."),
    "fields": ("sensor.cli", "Print the record tables and their columns."),
    "query": ("collector.cli", "Ask the stored records in SQL."),
    "read": ("sensor.cli", "Print what a capture says, as records."),
    "restore": ("api.database.commands", "Put a backup into an empty database."),
    "rules": ("detection.cli", "Check, list and test detection rules."),
    "run": ("api.commands", "Run the whole system in one process."),
    "sensor": ("sensor.edge", "Record what interfaces receive, on a gateway; revoke and set sensors, at the centre."),
    "serve": ("api.commands", "Serve the API and the console over stored data."),
    "trace": ("api.trace.command", "Tell where a batch of records is, and what came of it."),
    "tune": ("detection.tune", "Make exceptions for alerts, and see first what they would have hidden."),
}
"""Subcommand → the module that holds it, and its line in the help."""


OF_THE_CENTRE: Final = {
    "sensor": {
        "revoke": ("api.enrolment.commands", "revoke_sensor", "Shut a sensor out, at the centre."),
        "set": ("api.enrolment.commands", "set_sensor", "Send a sensor settings, at the centre."),
    }
}
"""Group of commands → what belongs to it and needs a server's libraries: the module, its name there, and its line in the help."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None. Raises CommandError where its package is not installed."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = _imported(COMMANDS[cmd_name][0], cmd_name.replace("-", "_"), f"icsight {cmd_name}")
        if cmd_name in OF_THE_CENTRE and isinstance(command, click.Group):
            return _Extended(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


class _Extended(click.Group):
    """A group of a gateway's commands, and those that belong to it at the centre, which are imported when they are called."""

    def __init__(self, group: click.Group) -> None:
        super().__init__(group.name, commands=group.commands, help=group.help)
        self._further: Final = OF_THE_CENTRE[str(group.name)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted([*super().list_commands(ctx), *self._further])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None. Raises CommandError where its package is not installed."""
        if cmd_name in self._further:
            module, name, _ = self._further[cmd_name]
            return _imported(module, name, f"icsight {self.name} {cmd_name}")
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading those of the centre."""
        del ctx
        lines = {name: command.get_short_help_str(80) for name, command in self.commands.items()}
        lines |= {name: line for name, (_, _, line) in self._further.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))


def _imported(module: str, name: str, called: str) -> click.Command:
    """A command of a module. Raises CommandError where its package is not installed."""
    try:
        command = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in {"api", "collector", "detection", "sensor"}:
            raise
        raise CommandError(
            f"`{called}` needs the Python package {error.name}, which is not installed. "
            "Install it with: pip install 'icsight[server]'"
        ) from error
    if not isinstance(command, click.Command):
        raise TypeError(f"{module}.{name} is not a command")
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="icsight")
def icsight() -> None:
    """Passive security monitor for industrial control systems."""


def main() -> NoReturn:
    """Entry point of the `icsight` command."""
    run(icsight)
