"""The egress tripwire: a network name space that leads nowhere, and who listens at its other end."""
