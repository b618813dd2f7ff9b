"""Ends a task of a case at a running node over mutual TLS, as an insurer's back-end would, with stubs
generated from the .proto files. Prints what it got as JSON, for the test to look at.

Usage: procedures.py ADDRESS CLIENT_DIRECTORY PURPOSE CASE_ID CARD_NUMBER
"""
import json
import pathlib
import sys
import time
import uuid

import grpc
from dancu.node.v1 import contribution_service_pb2 as contributions_pb
from dancu.node.v1 import contribution_service_pb2_grpc as contributions_rpc
from dancu.node.v1 import procedure_service_pb2 as pb
from dancu.node.v1 import procedure_service_pb2_grpc as rpc
from dancu.v1.access_pb2 import AccessContext
from dancu.v1.contribution_pb2 import Contribution, ContributionState
from dancu.v1.procedure_pb2 import TASK_END_DONE, StepState, TaskAnswer

address, directory, purpose, case, card = sys.argv[1:]
directory = pathlib.Path(directory)
tls = grpc.secure_channel(
    address,
    grpc.ssl_channel_credentials(
        root_certificates=(directory / "authority.crt").read_bytes(),
        private_key=(directory / "client.key").read_bytes(),
        certificate_chain=(directory / "client.crt").read_bytes(),
    ),
)
procedures = rpc.ProcedureServiceStub(tls)
contributions = contributions_rpc.ContributionServiceStub(tls)
why = AccessContext(purpose=purpose, case_number="PY-1", officer="python")
result = {}


def uuid7():
    """UUIDv7 (RFC 9562): milliseconds, then chance."""
    number = int(time.time() * 1000) << 80 | uuid.uuid4().int & ((1 << 80) - 1)
    number = number & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62))


tasks = [each.task for each in procedures.ListTasks(pb.ListTasksRequest(context=why), timeout=5)]
task = next(task for task in tasks if task.case_id == case)
result["asks"] = list(task.asks)

answer = TaskAnswer(case_id=case, step=task.step, end=TASK_END_DONE)
answer.answers["health_insurance_card_number"] = card
contribution = Contribution(id=uuid7(), context=why, task=answer)
procedures.CompleteTask(pb.CompleteTaskRequest(contribution=contribution), timeout=5)
watch = contributions_pb.WatchContributionsRequest(contribution_ids=[contribution.id])
for response in contributions.WatchContributions(watch, timeout=60):
    result["state"] = ContributionState.Name(response.status.state)

for _ in range(100):
    shown = procedures.GetCase(pb.GetCaseRequest(context=why, opened_by=case), timeout=5)
    result["steps"] = [StepState.Name(step.state) for step in shown.case.steps]
    if shown.case.HasField("closed_at"):
        break
    time.sleep(0.2)

form = procedures.PrefillForm(pb.PrefillFormRequest(context=why, form="ct01"), timeout=5)
result["form"] = form.title
print(json.dumps(result))
