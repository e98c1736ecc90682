"""What runs, as the next command finds it: `state.json` in the local folder, written whole or not at all.

One command works on a folder at a time.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from framecue.errors import SetupError
from framecue_services.cli.local.processes import Process

_FILE, _LOCK = "state.json", "lock"


class State(BaseModel):
    """The processes by the name of what they run, and the ports of the servers among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes: dict[str, Process] = {}
    kafka_port: int | None = None
    redis_port: int | None = None


def read_state(folder: Path) -> State:
    """What an earlier command wrote, without what has ended since; raises SetupError where it cannot be read."""
    path = folder / _FILE
    try:
        state = State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return State()
    except OSError as e:
        raise SetupError(f"{path} cannot be read: {(e.strerror or str(e)).lower()}") from e
    except ValidationError as e:
        raise SetupError(f"{path} is damaged; end what still runs by hand, then remove it") from e
    return state.model_copy(update={"processes": {n: p for n, p in state.processes.items() if p.alive}})


def write_state(folder: Path, state: State) -> None:
    """Keeps `state`, or removes the file where nothing runs."""
    path = folder / _FILE
    if not state.processes:
        path.unlink(missing_ok=True)
        return
    new = path.with_suffix(".new")
    new.write_text(state.model_dump_json(indent=2))
    new.replace(path)


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Keeps other commands from the folder, which is made; raises SetupError where one is at work or it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
        lock = (folder / _LOCK).open("w")
    except OSError as e:
        why = (e.strerror or str(e)).lower()
        raise SetupError(f"{folder} cannot be used: {why}; set FRAMECUE_LOCAL__FOLDER to a folder of yours") from e
    with lock:
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise SetupError(f"another `framecue up` or `down` is at work on {folder}; wait for it") from e
        yield


def forget(folder: Path) -> None:
    """Removes what this module keeps in the folder, and the folder where nothing else is in it."""
    for name in (_FILE, _LOCK, ".gitignore"):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
