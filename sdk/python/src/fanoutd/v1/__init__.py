"""The control API itself: every message of the package fanout.v1 of the contract, and a
stub for each service, such as RegistryServiceStub(client.channel).

The classes are made of descriptors that the build puts beside this file, and not by
protoc's Python code, which holds only for the releases of protobuf around the one that
wrote it.
"""

from importlib import resources
from typing import Any

import grpc.aio
from google.protobuf import (  # what the contract imports has to be in the pool
    any_pb2 as _any_pb2,
    descriptor_pb2 as _descriptor_pb2,
    descriptor_pool as _descriptor_pool,
    duration_pb2 as _duration_pb2,
    message_factory as _message_factory,
    struct_pb2 as _struct_pb2,
    timestamp_pb2 as _timestamp_pb2,
)

_needed = (_any_pb2, _duration_pb2, _struct_pb2, _timestamp_pb2)

_calls = {(False, False): "unary_unary", (False, True): "unary_stream", (True, False): "stream_unary", (True, True): "stream_stream"}


def _stub(service: Any) -> type:
    def __init__(self: Any, channel: grpc.aio.Channel) -> None:
        for m in service.methods:
            call = getattr(channel, _calls[m.client_streaming, m.server_streaming])
            request = _message_factory.GetMessageClass(m.input_type)
            response = _message_factory.GetMessageClass(m.output_type)
            multi = call(
                f"/{service.full_name}/{m.name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            setattr(self, m.name, multi)

    return type(f"{service.name}Stub", (), {"__init__": __init__, "__doc__": f"Calls of {service.full_name}."})


def _load() -> None:
    pool = _descriptor_pool.Default()
    try:
        data = resources.files(__name__).joinpath("fanout.binpb").read_bytes()
    except FileNotFoundError:
        raise ImportError("fanoutd.v1 was not generated: install the package, with pip install, and import that") from None
    for file in _descriptor_pb2.FileDescriptorSet.FromString(data).file:
        try:
            pool.AddSerializedFile(file.SerializeToString())
        except TypeError as err:
            raise ImportError(f"another release of fanoutd's {file.name} is loaded in this process already: {err}") from err
        found = pool.FindFileByName(file.name)
        for name, message in found.message_types_by_name.items():
            globals()[name] = _message_factory.GetMessageClass(message)
        for name, service in found.services_by_name.items():
            globals()[f"{name}Stub"] = _stub(service)


_load()
