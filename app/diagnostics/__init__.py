"""What is known of this program and its last run, and what a report may say of it."""
