#include "base/interrupt.h"

#include <csignal>
#include <string>

#include "base/error.h"

namespace foregate {
namespace {

volatile std::sig_atomic_t stop_requested = 0;

void request_stop(int signal) {
  if (stop_requested != 0) {
    // Asked twice: the default action ends the process with the status shells expect.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  stop_requested = 1;
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = request_stop;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return stop_requested != 0;
}

void check_interrupted(const char* kept) {
  if (interrupted()) throw InterruptedError(std::string("interrupted; ") + kept);
}

}  // namespace foregate
