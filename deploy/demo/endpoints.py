#!/usr/bin/env python3
"""Writes endpoints.json for what the demo left running, and prints how to call it."""
import json
import pathlib
import sys

demo, here = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
people = json.loads((demo / "people.json").read_text())
nodes = {
    "province": ("127.0.0.1:17443", "1.004222", people["ids"]),
    "insurance": ("127.0.0.1:17444", "1.002759", [people["mover"], *people["ids"]]),
}
endpoints = {}
for name, (address, purpose, ids) in nodes.items():
    client = demo / f"{name}-client"
    endpoints[name] = {
        "address": address,
        "unix_socket": str(demo / f"{name}.sock"),
        "certificate": str(client / "client.crt"),
        "key": str(client / "client.key"),
        "authority": str(client / "authority.crt"),
        "purpose": purpose,
        "officer": "demo-officer",
        "ids": ids,
    }
(demo / "endpoints.json").write_text(json.dumps(endpoints, indent=2, ensure_ascii=False) + "\n")

node = endpoints["insurance"]
relative = {key: pathlib.Path(node[key]).relative_to(here) for key in ("certificate", "key", "authority")}
print(f"""
Addresses, certificates and ids to try: {(demo / "endpoints.json").relative_to(here)}

With grpcurl:
  grpcurl -cacert {relative["authority"]} -cert {relative["certificate"]} -key {relative["key"]} \\
    -d '{{"context":{{"purpose":"{node["purpose"]}","case_number":"1","officer":"demo-officer"}},"personal_id":"{node["ids"][0]}"}}' \\
    {node["address"]} dancu.node.v1.CitizenService/GetCitizen

With Python (pip install grpcio-tools):
  python3 -m grpc_tools.protoc -Iproto --python_out=. --grpc_python_out=. \\
    dancu/v1/citizen.proto dancu/v1/access.proto dancu/node/v1/citizen_service.proto

  import grpc, json
  from dancu.v1.access_pb2 import AccessContext
  from dancu.node.v1 import citizen_service_pb2 as pb, citizen_service_pb2_grpc as rpc
  e = json.load(open("target/demo/endpoints.json"))["insurance"]
  read = lambda name: open(e[name], "rb").read()
  tls = grpc.ssl_channel_credentials(read("authority"), read("key"), read("certificate"))
  citizens = rpc.CitizenServiceStub(grpc.secure_channel(e["address"], tls))
  why = AccessContext(purpose=e["purpose"], case_number="1", officer=e["officer"])
  print(citizens.GetCitizen(pb.GetCitizenRequest(context=why, personal_id=e["ids"][0])))

To end it: make demo-stop""")
