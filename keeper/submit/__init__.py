"""Where signed bytes go and where facts come from: several endpoints, each answer judged by itself."""
