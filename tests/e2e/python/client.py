"""Calls a running node over mutual TLS, as an agency's back-end would, with stubs generated from the
.proto files. Prints what it got as JSON, for the test to look at.

Usage: client.py ADDRESS CLIENT_DIRECTORY PURPOSE KNOWN_ID UNKNOWN_ID FULL_NAME YEAR
"""
import json
import pathlib
import sys

import grpc
from dancu.node.v1 import citizen_service_pb2 as pb
from dancu.node.v1 import citizen_service_pb2_grpc as rpc
from dancu.node.v1 import node_service_pb2 as node_pb
from dancu.node.v1 import node_service_pb2_grpc as node_rpc
from dancu.v1.access_pb2 import AccessContext
from dancu.v1.citizen_pb2 import Citizen, Date, Name

address, directory, purpose, known, unknown, full_name, year = sys.argv[1:]
directory = pathlib.Path(directory)


def channel(**tls):
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(**tls))


authority = (directory / "authority.crt").read_bytes()
tls = channel(
    root_certificates=authority,
    private_key=(directory / "client.key").read_bytes(),
    certificate_chain=(directory / "client.crt").read_bytes(),
)
citizens = rpc.CitizenServiceStub(tls)
why = AccessContext(purpose=purpose, case_number="PY-1", officer="python")
result = {}

answer = citizens.GetCitizen(pb.GetCitizenRequest(context=why, personal_id=known), timeout=5)
name = answer.citizen.full_name
result["name"] = " ".join(part for part in (name.family, name.middle, name.given) if part)
result["revision"] = answer.freshness.revision

try:
    citizens.GetCitizen(pb.GetCitizenRequest(context=why, personal_id=unknown), timeout=5)
except grpc.RpcError as error:
    result["unknown"] = error.code().name

batch = pb.BatchGetCitizensRequest(context=why, personal_ids=[known, unknown])
result["batch"] = [each.HasField("citizen") for each in citizens.BatchGetCitizens(batch, timeout=5)]

criterion = pb.NameAndBirth(full_name=full_name.upper(), date_of_birth=Date(year=int(year)))
found = citizens.FindCitizen(pb.FindCitizenRequest(context=why, name_and_birth=criterion), timeout=5)
result["found"] = known in [match.citizen.personal_id for match in found.matches]

claim = Citizen(full_name=Name(given="Không"), sex=answer.citizen.sex, religion="00")
verdicts = citizens.VerifyCitizen(
    pb.VerifyCitizenRequest(context=why, personal_id=known, claim=claim), timeout=5
).verdicts
result["verdicts"] = [pb.Verdict.Name(each.verdict) for each in verdicts]

changes = citizens.WatchCitizens(pb.WatchCitizensRequest(context=why), timeout=5)
begun = next(changes)
changes.cancel()
goes_on = citizens.WatchCitizens(pb.WatchCitizensRequest(context=why, cursor=begun.cursor), timeout=5)
result["watch"] = [begun.WhichOneof("event"), next(goes_on).WhichOneof("event")]
goes_on.cancel()

status = node_rpc.NodeServiceStub(tls).GetStatus(node_pb.GetStatusRequest(), timeout=5)
result["state"] = node_pb.NodeState.Name(status.state)

try:
    no_certificate = rpc.CitizenServiceStub(channel(root_certificates=authority))
    no_certificate.GetCitizen(pb.GetCitizenRequest(context=why, personal_id=known), timeout=5)
    result["without_certificate"] = "OK"
except grpc.RpcError as error:
    result["without_certificate"] = error.code().name

print(json.dumps(result))
