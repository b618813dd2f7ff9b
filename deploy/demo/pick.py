#!/usr/bin/env python3
"""Picks people for the demo from the synthetic population (JSON Lines on standard input).

Prints a JSON object: `mover`, a living adult of Tuyên Quang of whom much is known; `stranger`, a
living person of Cà Mau, outside the slices of province and court; `mother` and `father`, a couple of Phường Hà
Giang 2; `elder`, a pensioner of Tuyên Quang; `ids`, a few more of Tuyên Quang.
"""
import csv
import json
import sys

UNITS = "proto/data/administrative_units.csv"
province_of = {row["commune_code"]: row["province_code"] for row in csv.DictReader(open(UNITS, encoding="utf-8"))}

mover = stranger = mother = elder = None
ids = []
for line in sys.stdin:
    person = json.loads(line)
    if "date_of_death" in person or "temporary_residence" in person:
        continue
    home = person.get("permanent_residence", {})
    if person.get("current_dwelling", home).get("commune") != home.get("commune"):
        continue
    province, year = province_of.get(home.get("commune")), person["date_of_birth"][:4]
    if home.get("commune") == "00691" and mother is None and person["sex"] == "2" and "1986" <= year <= "2002":
        # The mover moves away before there is a child.
        spouse = person.get("spouse", {}).get("personal_id")
        if spouse and not (mover and mover["personal_id"] == spouse):
            mother = person
    elif province == "08" and year < "1960" and elder is None:
        elder = person
    elif province == "08" and "1965" <= year <= "1995":
        wanted = ("spouse", "children", "old_id_number", "identity_cards", "mobile_number")
        married = mother and mother["spouse"]["personal_id"] == person["personal_id"]
        if mover is None and not married and all(field in person for field in wanted):
            mover = person
        elif len(ids) < 5:
            ids.append(person["personal_id"])
    elif province == "96" and stranger is None:
        stranger = person
    if mover and stranger and mother and elder and len(ids) == 5:
        break
if not (mover and stranger and mother and elder):
    sys.exit("the population has no one to show")


def name(person):
    full = person["full_name"]
    return full if isinstance(full, str) else " ".join(full.values())


json.dump({
    "mover": mover["personal_id"],
    "name": name(mover),
    "stranger": stranger["personal_id"],
    "stranger_name": name(stranger),
    "mother": mother["personal_id"],
    "mother_name": name(mother),
    "father": mother["spouse"]["personal_id"],
    "father_name": name({"full_name": mother["spouse"]["name"]}),
    "elder": elder["personal_id"],
    "elder_name": name(elder),
    "ids": ids,
}, sys.stdout, ensure_ascii=False)
