"""Running plans: the content-addressed store, the schedule, executors, and the handles that attacks ask through."""
