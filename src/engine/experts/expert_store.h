#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "engine/experts/expert_counts.h"
#include "engine/step.h"
#include "models/weights/decoder_weights.h"
#include "nn/experts.h"

namespace foregate::engine {

/// What a layer's tokens ask of its experts.
struct ExpertRequest {
  int moe_layer = 0;
  const nn::Routing& routing;  ///< [T, k]
  /// Tokens are so few that one operation runs their experts and adds them up: experts may then not
  /// come apart, but tokens may, two at least at a time.
  bool at_once = false;
};

/// Experts that are at hand, for some of the tokens that asked: valid, on the current stream, until
/// the call that hands them out returns.
struct ExpertView {
  nn::ExpertWeights experts{};  ///< `matrices` names the slots of those that are there
  int64_t first_token = 0;
  int64_t num_tokens = 0;
  bool whole = true;  ///< every expert of these tokens is there; else others come in further views
};

/// Where the routed experts of a model are while it runs, and how they come to the device that
/// computes: the one thing that knows. What comes out does not depend on it, by no bit.
class ExpertStore {
 public:
  using Work = std::function<void(const ExpertView& view)>;

  virtual ~ExpertStore() = default;

  /// The experts of a layer as kernels see them, whichever of them are there.
  virtual nn::ExpertWeights shape_of(int moe_layer) const = 0;
  /// Whether steps of so many single tokens pass without the host: then they can be recorded as
  /// CUDA graphs, and begin_layer() and use() are called while they are.
  virtual bool runs_on_device(int64_t tokens) const = 0;

  /// A step begins: `past` tokens of each text came before. A step that ended in an error is over.
  virtual void begin_step(const StepBatch& /*batch*/, std::span<const int64_t> /*past*/) {}
  /// An MoE layer begins, before its attention.
  virtual void begin_layer(int /*moe_layer*/) {}
  /// What its router sees, behind the router's product.
  virtual void see_router_input(int /*moe_layer*/, const torch::Tensor& /*input*/) {}  // [T, H]
  /// Brings what is missing and hands it to `work`: in one view where there is room for all,
  /// otherwise in several.
  virtual void use(const ExpertRequest& request, const Work& work) = 0;
  virtual void end_step() {}

  /// What happened so far; nothing of a store that has all experts at hand, or moves whole layers.
  virtual std::optional<ExpertCounts> counts() const { return std::nullopt; }
};

/// A store of experts where the loader has put them: on the device, or of some layers, whole, in
/// the host's memory. Refers to the weights.
std::unique_ptr<ExpertStore> make_expert_store(const std::vector<models::LayerWeights>& layers,
                                               torch::Device device);

}  // namespace foregate::engine
