"""Generates what fanoutd.v1 is made of from proto/: the descriptors, which it reads when
it is imported, and stubs with their types. Wants grpcio-tools.

    python tools/generate.py PROTO INTO
"""

from __future__ import annotations

import pathlib
import re
import sys
import tempfile

from google.protobuf import descriptor_pb2

CALLS = {
    (False, False): "UnaryUnaryMultiCallable",
    (False, True): "UnaryStreamMultiCallable",
    (True, False): "StreamUnaryMultiCallable",
    (True, True): "StreamStreamMultiCallable",
}


def main(proto: pathlib.Path, into: pathlib.Path) -> None:
    from grpc_tools import protoc

    names = sorted(str(p.relative_to(proto)) for p in proto.glob("fanout/v1/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch)
        well_known = pathlib.Path(protoc.__file__).parent / "_proto"
        descriptors = out / "fanout.binpb"
        command = ["protoc", f"-I{proto}", f"-I{well_known}", f"--pyi_out={out}", f"--descriptor_set_out={descriptors}"]
        if protoc.main(command + names) != 0:
            raise SystemExit("protoc failed")
        for old in [*into.glob("*.pyi"), *into.glob("*.binpb")]:
            old.unlink()
        data = descriptors.read_bytes()
        (into / "fanout.binpb").write_bytes(data)
        for stub in sorted((out / "fanout/v1").glob("*.pyi")):
            (into / f"_{stub.name}").write_text(types_of(stub.read_text()))
        (into / "__init__.pyi").write_text(index(descriptor_pb2.FileDescriptorSet.FromString(data)))


def types_of(stub: str) -> str:
    """A stub of protoc's, in this package, and with the types that it leaves out."""
    stub = re.sub(r"^from fanout\.v1 import (\w+) as (\w+)$", r"from fanoutd.v1 import _\1 as \2", stub, flags=re.M)
    stub = stub.replace("**kwargs)", "**kwargs: _Any)").replace("_Mapping]", "_Mapping[str, _Any]]")
    stub = re.sub(r"^(\w+): _ClassVar\[int\]$", r"\1: int", stub, flags=re.M)
    return "from typing import Any as _Any\n" + stub


def index(files: descriptor_pb2.FileDescriptorSet) -> str:
    """The stub of the package itself: its messages and its services."""
    lines = ["import grpc.aio", "from google.protobuf import message as _message", ""]
    services = []
    for file in files.file:
        module = "_" + file.name.rsplit("/", 1)[1].replace(".proto", "_pb2")
        lines += [f"from .{module} import {m.name} as {m.name}" for m in file.message_type]
        for service in file.service:
            services += ["", f"class {service.name}Stub:", "    def __init__(self, channel: grpc.aio.Channel) -> None: ..."]
            for m in service.method:
                call = CALLS[m.client_streaming, m.server_streaming]
                types = ", ".join(t.rsplit(".", 1)[1] for t in (m.input_type, m.output_type))
                services.append(f"    {m.name}: grpc.aio.{call}[{types}]")
    return "\n".join(lines + services) + "\n"


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
