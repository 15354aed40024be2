#include "terminal/interrupt.h"

#include <csignal>

namespace foregate {
namespace {

volatile std::sig_atomic_t stop_flag = 0;

void request_stop(int signal) {
  if (stop_flag != 0) {
    // Asked twice: the default action ends the process with the status shells expect.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  stop_flag = 1;
}

}  // namespace

InterruptSignals::InterruptSignals() {
  struct sigaction action {};
  action.sa_handler = request_stop;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool InterruptSignals::stop_requested() const {
  return stop_flag != 0;
}

}  // namespace foregate
