"""Sends trained models to a folder, a remote or a hub with their cards, and gets them back verified."""
