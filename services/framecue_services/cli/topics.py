"""`framecue topics`: makes the topics of the table on the broker, and compares what is there with it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from framecue.broker.kafka.topics import check_topics, create_topics
from framecue.schemas.topics import FLEET_PARTITIONS, TOPICS
from framecue.settings import KafkaSettings
from framecue_services.cli.wording import clean


def run_create(
    settings: KafkaSettings,
    *,
    partitions: int | None = None,
    replication: int | None = None,
    console: Console | None = None,
) -> int:
    """Makes the topics that are missing and says which; 1 where one that was there is not as the table says."""
    console = console or Console(highlight=False, soft_wrap=True, markup=False)
    made = create_topics(
        settings.connection(),
        partitions=partitions or settings.partitions or FLEET_PARTITIONS,
        replication=replication or settings.replication,
    )
    for name in made:
        console.print(f"made {name}")
    if len(made) < len(TOPICS):
        console.print(f"{len(TOPICS) - len(made)} were there before, and are as they were")
    return _tell(settings, console)


def run_check(settings: KafkaSettings, *, console: Console | None = None) -> int:
    """Says what differs from the table, each with its cure; 1 where something does."""
    console = console or Console(highlight=False, soft_wrap=True, markup=False)
    wrong = _tell(settings, console)
    if not wrong:
        console.print(f"all {len(TOPICS)} topics are as they should be")
    return wrong


def _tell(settings: KafkaSettings, console: Console) -> int:
    found = check_topics(settings.connection())
    for one in found:
        console.print(Text.assemble(("✗ ", "red"), f"{one.topic}: {clean(one.wrong)}"))
        console.print(f"  → {clean(one.cure)}")
    return int(bool(found))
