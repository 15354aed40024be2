#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/run_context.h"
#include "base/stopwatch.h"
#include "base/threads.h"
#include "collect/continuation.h"
#include "collect/recorder.h"
#include "collect/sink.h"
#include "collect/stage_times.h"
#include "collect/work.h"
#include "text/datasets/sampling.h"
#include "text/tokenizer/tokenizer.h"

namespace foregate::collect {

/// What a run needs; all outlive the pipeline.
struct PipelineInputs {
  const text::Tokenizer& tokenizer;
  engine::Engine& engine;
  const text::SamplingPlan& plan;
  std::filesystem::path output;
  RunContext run;
  Continuation* continuation = nullptr;  ///< of every text; nullptr: as they are
};

/// The three stages of collecting, each on its own thread: read and tokenise -> forward (the
/// calling thread) -> encode and write.
class Pipeline {
 public:
  Pipeline(PipelineInputs inputs, trace::Manifest manifest);

  /// Runs to the end of the plan. Shards the manifest already names are not computed again. Errors
  /// of any stage end all of them and are thrown here.
  void run();

  const trace::Manifest& manifest() const { return sink_.manifest(); }
  /// How long each stage worked, once run() has returned.
  StageTimes stage_times() const;

 private:
  using Work = std::shared_ptr<const ShardWork>;

  void read_texts();
  void forward_shards();
  /// The texts with what the model adds to them. Tells how many are continued.
  Work continued(const Work& work, const std::function<void(int64_t)>& on_text);
  BatchResult forward_batch(const Work& work, BatchRange range);
  /// Runs a batch, or halves of it if it is larger than what memory held before.
  void forward_range(const Work& work, BatchRange range, bool last_of_shard);
  void forward_halves(const Work& work, BatchRange range, bool last_of_shard);
  void write_results();
  std::string remark(double seconds) const;

  PipelineInputs inputs_;
  trace::Manifest settings_;  ///< as it was at the start; the sink owns the one that grows
  ShardSink sink_;
  Recorder recorder_;
  BoundedQueue<Work> work_{2};
  BoundedQueue<BatchResult> results_{2};
  int64_t tokens_done_ = 0;
  int64_t most_tokens_ = INT64_MAX;  ///< of a batch; less once one ran out of memory
  Stopwatch total_;
  Stopwatch reading_;
  Stopwatch forwarding_;
  Stopwatch writing_;
  double device_seconds_ = 0;  ///< of the batches written so far
};

}  // namespace foregate::collect
