"""One machine as a platform: servers, worker and schedule, started, ended and looked at."""
