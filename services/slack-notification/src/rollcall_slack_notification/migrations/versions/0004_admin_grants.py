"""Who holds the role `admin` is found among any number of assignments."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("CREATE INDEX roles_admin ON roles (role_id) WHERE admin AND NOT deleted")
    op.execute("CREATE INDEX grants_role ON grants (role_id)")
    op.execute("CREATE INDEX grants_admin ON grants (role_id) WHERE admin")
