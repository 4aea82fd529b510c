#define _GNU_SOURCE
#include <fcntl.h>

#include "CPlatform.h"

void patron_start_writing(int descriptor, int64_t offset, int64_t count) {
#if defined(__linux__)
    sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE);
#else
    (void)descriptor, (void)offset, (void)count;
#endif
}
