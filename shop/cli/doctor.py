"""``flask shop doctor``: the integrity checks.

Exit codes: 0 all passed, 1 faults found, 2 could not run.
"""

import json
import sys
from collections.abc import Sequence
from textwrap import indent

import click
from sqlalchemy.exc import DBAPIError

from shop import doctor
from shop.core.errors import DomainError

COULD_NOT_RUN = 2


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--since",
    type=click.FloatRange(min=0, max=36500),
    metavar="DAYS",
    help="Leave out older orders, where that is sensible.",
)
@click.option(
    "--stripe", is_flag=True, help="Also reconcile with Stripe (the last 30 days, or DAYS)."
)
@click.option("--fix", is_flag=True, help="Count again what is only kept for speed; no more.")
@click.option(
    "--most",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many examples of each fault.",
)
def command(as_json: bool, since: float | None, stripe: bool, fix: bool, most: int) -> None:
    """Run the integrity checks, in one snapshot; change nothing unless --fix is given.

    Exit codes: 0 all is well, 1 faults were found, 2 not everything could be looked at.
    """
    repairs: Sequence[doctor.Repair] = ()
    try:
        result = doctor.run_all(since_days=since, with_stripe=stripe, limit=most)
        if fix and result.faults:
            repairs = doctor.repair(result)
            result = doctor.run_all(since_days=since, with_stripe=stripe, limit=most)
    except (DomainError, DBAPIError) as error:
        reason = str(getattr(error, "orig", error)).strip().split("\n")[0]
        if as_json:
            click.echo(json.dumps({"well": False, "exit_code": COULD_NOT_RUN, "failure": reason}))
        else:
            click.echo(f"The integrity checks could not run. {reason}", err=True)
        sys.exit(COULD_NOT_RUN)
    if as_json:
        answer = result.as_json() | {"fixed": [one.as_json() for one in repairs]}
        click.echo(json.dumps(answer, indent=2))
    else:
        _print(result, repairs)
    sys.exit(result.exit_code)


def _print(run: doctor.RunResult, repairs: Sequence[doctor.Repair]) -> None:
    for one in repairs:
        click.echo(
            f"{'fixed' if one.done else 'left '}  {one.check.id}: {one.name}: {one.sentence}"
        )
    for result in run.results:
        check = result.check
        if result.failure:
            click.echo(
                f"?      {check.title}\n{indent('Could not check: ' + result.failure, ' ' * 7)}"
            )
        if not result.count:
            continue
        click.echo(f"FAULT  {check.title} ({check.id}, {check.invariant}): {result.count}")
        for fault in result.faults:
            click.echo(f"         {fault.name}: {fault.fact}")
        if result.count > len(result.faults):
            click.echo(f"         … and {result.count - len(result.faults):,} more")
        click.echo(f"       Why it matters: {check.why}\n       What to do: {check.todo}")
    completed = len(run.results) - len(run.failures)
    click.echo(
        f"{completed} of {len(run.results)} checks completed in {run.seconds:.1f} s,"
        f" {len(run.faults)} failed."
    )
