"""Keeps of a run what its report will show: final results, and a bounded number of small pictures.

Fed while results come, because pictures are only held for a while. It must not know how a page looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from framecue.errors import ModelError
from framecue.models.faces import Faces
from framecue.schemas.annotation import Annotation, FrameRef
from framecue.schemas.caption import Caption
from framecue.schemas.event import Event
from framecue_services.cli.wording import is_built_in

Result = Annotation | Event | Caption

THUMBNAILS_MAX = 240
"""Pictures on the timeline: 240 of 4 kB stay under 1.5 MB in base64. Past that, every other one goes."""
EVIDENCE_MAX = 90
"""Pictures beside events, of some 12 kB each."""
EVIDENCE_PER_EVENT = 3
THUMBNAIL_PX, EVIDENCE_PX = 160, 320


@dataclass(frozen=True)
class Recorded:
    """A run's results as they ended: `events` with all their changes; small JPEGs by annotation id and by event id.

    A thumbnail was kept of every `thumbnail_every`-th window; `evidence_left_out` pictures were too many; `withheld`
    could not be looked at for faces. `faces` is the `Faces.state` of all others.
    """

    annotations: tuple[Annotation, ...]
    events: tuple[tuple[Event, ...], ...]
    captions: dict[str, Caption]
    thumbnails: dict[str, bytes]
    evidence: dict[str, tuple[tuple[FrameRef, bytes], ...]]
    thumbnail_every: int
    evidence_left_out: int
    faces: str
    withheld: int


class Recording:
    """Takes results as a run publishes them. `picture` gives a frame's JPEG, or None when it is gone.

    No picture is kept but as `faces` lets it be seen.
    """

    def __init__(
        self,
        picture: Callable[[FrameRef], bytes | None],
        *,
        faces: Faces,
        thumbnails_max: int = THUMBNAILS_MAX,
        evidence_max: int = EVIDENCE_MAX,
    ) -> None:
        self._picture, self._faces = picture, faces
        self._thumbnails_max, self._evidence_max = thumbnails_max, evidence_max
        self._annotations: dict[str, Annotation] = {}
        self._events: dict[str, list[Event]] = {}
        self._captions: dict[str, Caption] = {}
        self._thumbnails: dict[str, bytes] = {}
        self._evidence: dict[str, dict[FrameRef, bytes]] = {}
        self._every, self._windows, self._left_out, self._withheld = 1, 0, 0, 0

    def add(self, result: Result) -> None:
        """Keeps the newest revision of everything, and its picture while there is one."""
        match result:
            case Annotation():
                if result.id not in self._annotations:
                    self._thumbnail(result)
                self._annotations[result.id] = result
            case Event():
                self._events.setdefault(result.id, []).append(result)
                self._keep_evidence(result)
            case Caption():
                self._captions[result.id] = result

    def recorded(self) -> Recorded:
        """What there is so far, in media order."""
        return Recorded(
            annotations=tuple(sorted(self._annotations.values(), key=lambda a: (a.epoch, a.start_ms))),
            events=tuple(sorted(map(tuple, self._events.values()), key=lambda e: (e[-1].epoch, e[-1].start_ms))),
            captions=self._captions,
            thumbnails=self._thumbnails,
            evidence={event: tuple(pictures.items()) for event, pictures in self._evidence.items()},
            thumbnail_every=self._every,
            evidence_left_out=self._left_out,
            faces=self._faces.state,
            withheld=self._withheld,
        )

    def _thumbnail(self, annotation: Annotation) -> None:
        """One picture for every `_every`-th window: half of them go whenever there are too many, so they stay even."""
        wanted = self._windows % self._every == 0
        self._windows += 1
        if not wanted or not annotation.frames:
            return
        small = self._seen(annotation.frames[len(annotation.frames) // 2], THUMBNAIL_PX)
        if small is None:
            return
        self._thumbnails[annotation.id] = small
        if len(self._thumbnails) > self._thumbnails_max:
            self._every *= 2
            self._thumbnails = dict(list(self._thumbnails.items())[::2])

    def _keep_evidence(self, event: Event) -> None:
        """Pictures of the peak, in place of those of an earlier, lower one. Built-in events show on the timeline."""
        if is_built_in(event.rule):
            return
        before = self._evidence.pop(event.id, {})
        kept = sum(map(len, self._evidence.values()))
        now: dict[FrameRef, bytes] = {}
        for ref in event.evidence.frames[:EVIDENCE_PER_EVENT]:
            if kept + len(now) >= self._evidence_max:
                self._left_out += 1
            elif ref in before:
                now[ref] = before[ref]
            elif (small := self._seen(ref, EVIDENCE_PX)) is not None:
                now[ref] = small
        if now:
            self._evidence[event.id] = now

    def _seen(self, ref: FrameRef, width: int) -> bytes | None:
        """The frame as it may be seen; None where it is gone, or nobody can say whether there are faces in it."""
        jpeg = self._picture(ref)
        if jpeg is None:
            return None
        try:
            return self._faces.seen(jpeg, width=width)
        except ModelError:
            self._withheld += 1
            return None
