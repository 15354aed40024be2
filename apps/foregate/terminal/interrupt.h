#pragma once

#include "base/run_context.h"

namespace foregate {

/// SIGINT and SIGTERM ask for an orderly stop instead of ending the process; a second signal ends
/// it at once. Once a process: the handler is installed here and stays.
class InterruptSignals : public StopToken {
 public:
  InterruptSignals();
  bool stop_requested() const override;
};

}  // namespace foregate
