"""Commands, projection and queries of users and roles."""
