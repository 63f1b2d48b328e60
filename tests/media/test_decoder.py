"""The process that decodes: its end is not ours."""

import resource
import sys
import time

from shop.media import decoder, workshop
from tests.media import images


def test_crashing_job_is_refused_and_the_others_run(tmp_path, monkeypatch):
    program = tmp_path / "decoder.py"
    program.write_text(
        "import json, os, sys\n"
        "for line in sys.stdin:\n"
        "    if 'die' in line: os.abort()\n"
        "    print(json.dumps({'done': json.loads(line)['n']}), flush=True)\n"
    )
    monkeypatch.setattr(workshop, "PROGRAM", program)
    jobs = [{"n": n, "do": "die" if n == 1 else "live"} for n in range(4)]

    answers = workshop.run(jobs, processes=2)

    assert [answer.get("done", "refused") for answer in answers] == [0, "refused", 2, 3]


def test_a_job_that_never_ends_is_refused(tmp_path, monkeypatch):
    program = tmp_path / "decoder.py"
    program.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(workshop, "PROGRAM", program)
    monkeypatch.setattr(workshop, "SECONDS_PER_JOB", 0.3)

    started = time.monotonic()
    answers = workshop.run([{"do": "prepare"}])

    assert "refused" in answers[0]
    assert time.monotonic() - started < 5


def test_thirty_six_megapixels_cost_a_bounded_memory(tmp_path):
    source = tmp_path / "night.png"
    source.write_bytes(images.png_bomb().read())

    answer = workshop.run([{"do": "prepare", "source": str(source), "target": str(tmp_path / "t")}])

    assert answer[0]["width"] == decoder.MAX_SIDE
    # In kilobytes on Linux, in bytes on macOS; of the largest child so far.
    unit = 1 if sys.platform == "darwin" else 1024
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit < 700 * 1024 * 1024
