"""What blurring faces costs: a picture through the gate against the same picture decoded and encoded, one thread.

Pictures as ingest stores them, 384 px on the short side and 16:9: a face beside scenery, and scenery alone. CPU time,
the median over pairs run back to back. What is beside is what showing a picture in another width costs anyway.
"""

from __future__ import annotations

from PIL import Image

from framecue.models.faces import open_faces
from tests.benchmarks.report import Row, cpu_ratio
from tests.support.faces import jpeg_of, man_in_a_car, opened
from tests.support.pictures import scenery

SIZE = (682, 384)


def run() -> list[Row]:
    """With a face in the picture, and without."""
    faces = open_faces("blur")
    empty = Image.fromarray(scenery(1, SIZE[1], SIZE[0]))
    someone = empty.copy()
    someone.paste(man_in_a_car().resize((264, 216), Image.Resampling.BICUBIC), (40, 100))
    rows = []
    for name, picture in (("a face", someone), ("no face", empty)):
        jpeg = jpeg_of(picture)
        ratio = cpu_ratio(lambda jpeg=jpeg: faces.seen(jpeg), lambda jpeg=jpeg: jpeg_of(opened(jpeg)))
        rows.append(Row(f"blurring, {name}", ratio, "x", "<= 40", "decode and encode of the same JPEG, 682 x 384"))
    return rows
