"""Pictures of geometry."""
