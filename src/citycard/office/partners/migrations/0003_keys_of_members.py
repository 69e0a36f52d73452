# SPDX-License-Identifier: Apache-2.0
"""The one key that a member had becomes the first of its keys; alone, as PostgreSQL wants it."""

import hashlib
from datetime import date

from django.db import migrations


def keys_of_members(apps, schema_editor):
    """Every key was an Ed25519 key, and counted whatever the day."""
    keys = apps.get_model("partners", "MemberKey")
    for member in apps.get_model("partners", "Member").objects.exclude(public_key=""):
        keys.objects.create(
            member=member,
            fingerprint=hashlib.sha256(bytes.fromhex(member.public_key)).hexdigest()[:16],
            algorithm="Ed25519",
            public_key=member.public_key.lower(),
            valid_from=date(2000, 1, 1),
        )


class Migration(migrations.Migration):
    dependencies = [("partners", "0002_keys_with_dates")]

    operations = [migrations.RunPython(keys_of_members, migrations.RunPython.noop)]
