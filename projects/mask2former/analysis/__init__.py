"""What a trained model does and what its parts are worth: studies of many trainings, and attention."""
