"""What every service of Rollcall shares."""
