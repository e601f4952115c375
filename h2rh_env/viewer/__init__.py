"""The viewer: scenes and episodes in the browser, by viser (extra `view`)."""
