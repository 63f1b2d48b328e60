"""What people do at the staff's doors: signing in and out, and asking for more than their role."""
