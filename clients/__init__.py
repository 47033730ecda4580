"""What answers prompts: servers, local models, the embedded reader."""
