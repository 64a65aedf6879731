"""Publishes an event (GOOSE) and samples (sampled values) of IEC 61850 (libiec61850)."""

import time

import pyiec61850.pyiec61850 as iec

parameters = iec.CommParameters()
parameters.appId = 0x1001
parameters.vlanId = 0
parameters.vlanPriority = 4
publisher = iec.GoosePublisher_create(parameters, "port0")
iec.GoosePublisher_setGoCbRef(publisher, "bay1LD0/LLN0$GO$trip")
iec.GoosePublisher_setConfRev(publisher, 1)
iec.GoosePublisher_setDataSetRef(publisher, "bay1LD0/LLN0$trip")
iec.GoosePublisher_setTimeAllowedToLive(publisher, 500)
values = iec.LinkedList_create()
iec.LinkedList_add(values, iec.MmsValue_newBoolean(True))
for _ in range(3):
    iec.GoosePublisher_publish(publisher, values)
    time.sleep(0.1)
iec.GoosePublisher_destroy(publisher)

samples = iec.SVPublisher_create(None, "port0")
unit = iec.SVPublisher_addASDU(samples, "bay1MU01", None, 1)
current = iec.SVPublisher_ASDU_addFLOAT(unit)
iec.SVPublisher_setupComplete(samples)
for number in range(3):
    iec.SVPublisher_ASDU_setFLOAT(unit, current, 0.5 * number)
    iec.SVPublisher_ASDU_increaseSmpCnt(unit)
    iec.SVPublisher_publish(samples)
    time.sleep(0.1)
iec.SVPublisher_destroy(samples)
