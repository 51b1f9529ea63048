"""Writes the files with class names, and those to be damaged, beside this script. Needs pyarrow."""

import json
import pathlib

import pyarrow
import pyarrow.feather
import pyarrow.parquet

HERE = pathlib.Path(__file__).parent
LABEL = {"names": ["world", "sports", "a"], "_type": "ClassLabel"}


def table(labels, feature, kind):
    made = pyarrow.table({"text": [f"t{at}" for at in range(3)], "label": pyarrow.array(labels, type=kind)})
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": feature}
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


classes = table([1, 0, 1], LABEL, pyarrow.int64())
lists = table([[1], [0, 2], []], {"feature": LABEL, "_type": "List"}, pyarrow.list_(pyarrow.int64()))
pyarrow.parquet.write_table(classes, HERE / "classes.parquet")
pyarrow.parquet.write_table(lists, HERE / "class_lists.parquet")
with pyarrow.ipc.new_stream(HERE / "classes.arrow", classes.schema) as writer:
    writer.write_table(classes)
plain = classes.replace_schema_metadata(None)
pyarrow.parquet.write_table(plain, HERE / "zstd.parquet", compression="zstd", store_schema=False)
pyarrow.feather.write_feather(plain, HERE / "zstd.feather", compression="zstd")
