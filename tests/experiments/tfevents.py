"""Makes tensorboard.tfevents, the event file that tests/experiments/tensorboard.rs expects byte for byte, with TensorBoard's
own writer, and reads files back with TensorBoard's own reader.

    pip install tensorboard
    python tests/experiments/tfevents.py              # writes tensorboard.tfevents beside this script
    python tests/experiments/tfevents.py read FOLDER  # prints the scalars of a run folder as TensorBoard shows them
"""

import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

# As in tensorboard.rs.
EVENTS = [
    (1700000000.25, 1, [("train/loss", 2.7), ("train/learning_rate", 1e-3)]),
    (1700000001.5, 300, [("train/loss", 1e-9), ("train/learning_rate", 0.0)]),
    (1700000002.0, 0, [("test/top1", 0.8125)]),
    (1700000003.0, 1 << 40, [("tag/" + "long" * 50, -1.5)]),
]


def write(path):
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1700000000.0, file_version="brain.Event:2").SerializeToString())
        for wall_time, step, scalars in EVENTS:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars]
            event = Event(wall_time=wall_time, step=step, summary=Summary(value=values))
            writer.write(event.SerializeToString())
        writer.flush()


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    for tag in events.Tags()["scalars"]:
        for scalar in events.Scalars(tag):
            print(f"{tag} {scalar.step} {scalar.value!r}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        read(sys.argv[2])
    else:
        write(Path(__file__).with_name("tensorboard.tfevents"))
