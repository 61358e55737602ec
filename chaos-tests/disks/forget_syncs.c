/* Preloaded into a node: every sync succeeds and none happens. The power-loss test must notice. */
int fsync(int fd) {
    (void)fd;
    return 0;
}

int fdatasync(int fd) {
    (void)fd;
    return 0;
}
