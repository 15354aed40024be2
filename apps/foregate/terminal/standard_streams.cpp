#include "terminal/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

namespace foregate {

void fill_closed_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) != -1) continue;
    // Opened the wrong way round, so that reading or writing is an error. The lowest free number is
    // taken, which is this one.
    const int mode = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", mode) != stream) return;
  }
}

}  // namespace foregate
