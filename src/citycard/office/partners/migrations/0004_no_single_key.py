# SPDX-License-Identifier: Apache-2.0
"""A member has keys, not a key."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("partners", "0003_keys_of_members")]

    operations = [migrations.RemoveField(model_name="member", name="public_key")]
