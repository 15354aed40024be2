#include "base/run_context.h"

#include "base/error.h"

namespace foregate {
namespace {

class SilentTask : public ProgressTask {
 public:
  void finish() override {}

 private:
  void take(int64_t /*done*/, std::string_view /*remark*/) override {}
};

class SilentProgress : public ProgressSink {
 public:
  std::unique_ptr<ProgressTask> start(ProgressInfo /*info*/) override {
    return std::make_unique<SilentTask>();
  }
};

class NeverStop : public StopToken {
 public:
  bool stop_requested() const override { return false; }
};

class SilentLogger : public Logger {
 private:
  bool wants(LogLevel /*level*/) const override { return false; }
  void write(LogLevel /*level*/, std::string_view /*message*/) override {}
};

}  // namespace

void StopToken::check(std::string_view kept) const {
  if (stop_requested()) throw InterruptedError("interrupted; " + std::string(kept));
}

const RunContext& silent_run() {
  static SilentProgress progress;
  static const NeverStop stop;
  static SilentLogger log;
  static const RunContext run{progress, stop, log};
  return run;
}

}  // namespace foregate
