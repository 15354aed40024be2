#pragma once

#include <string>
#include <vector>

#include "live/train_live.h"
#include "model_options.h"

namespace CLI {
class App;
}

namespace foregate {

/// The options of `train --live` beside those that it shares with training from a trace.
struct LiveArguments {
  bool live = false;
  std::vector<std::string> data;
  ComputeArguments compute;  ///< of the model
  live::TrainLiveOptions options;
};

void add_live_options(CLI::App& command, LiveArguments& arguments);

/// Resolves model and datasets, which may be names of the hub. `device` is that of both model and
/// training.
void complete_live_options(LiveArguments& arguments, const std::string& model,
                           torch::Device device);

}  // namespace foregate
