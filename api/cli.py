"""The `icsight` command. Each subcommand loads its own package only, so that a gateway needs no server's libraries."""

from __future__ import annotations

from importlib import import_module
from typing import Final, NoReturn

import click

from sensor import __version__
from sensor.terminal import CommandError, run

COMMANDS: Final = {
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
    "evidence": ("sensor.evidence", "Write the packets that a statement rests on."),
    "fields": ("sensor.cli", "Print the record tables and their columns."),
    "query": ("collector.cli", "Ask the stored records in SQL."),
    "read": ("sensor.cli", "Print what a capture says, as records."),
    "restore": ("api.database.commands", "Put a backup into an empty database."),
    "rules": ("detection.cli", "Check, list and test detection rules."),
    "run": ("api.commands", "Run the whole system in one process."),
    "sensor": ("sensor.edge", "Record what interfaces receive, on a gateway."),
    "serve": ("api.commands", "Serve the API and the console over stored data."),
    "tune": ("detection.tune", "Make exceptions for alerts, and see first what they would have hidden."),
}
"""Subcommand → the module that holds it, and its line in the help."""


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
        module = COMMANDS[cmd_name][0]
        try:
            command = getattr(import_module(module), cmd_name.replace("-", "_"))
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] in {"api", "collector", "detection", "sensor"}:
                raise
            raise CommandError(
                f"`icsight {cmd_name}` needs the Python package {error.name}, which is not installed. "
                "Install it with: pip install 'icsight[server]'"
            ) from error
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{cmd_name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="icsight")
def icsight() -> None:
    """Passive security monitor for industrial control systems."""


def main() -> NoReturn:
    """Entry point of the `icsight` command."""
    run(icsight)
