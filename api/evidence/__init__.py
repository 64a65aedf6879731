"""The packets behind alerts: handed out, and pinned before they are overwritten."""
