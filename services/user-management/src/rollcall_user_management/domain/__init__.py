"""The rules of users and roles, pure: (state, command) → event, and (state, event) → state."""
