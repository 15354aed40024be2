#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/config.h"
#include "models/weights/arrangement.h"
#include "models/weights/decoder_weights.h"
#include "models/weights/weight_names.h"
#include "tensor/weight/weight.h"

namespace foregate::models {

// What a model's weights are, listed once. Planning, loading, random weights and the counts of
// bytes, products and parameters are loops over these lists.

/// How a weight is kept in memory.
enum class Keep : uint8_t {
  kQuantizable,  ///< of the large products: quantised if asked for, else in the compute dtype
  kComputeDtype,
  kFloat32,  ///< whatever the compute dtype
};

/// What a weight that is drawn instead of read starts with.
enum class Start : uint8_t { kNormal, kOnes, kZeros };

/// What a layer's weight is for. All but kRouting is left out where only routing is wanted and no
/// router comes behind.
enum class Role : uint8_t {
  kRouting,  ///< attention, norms, router, dense MLP: what the layer's own decision or a later one
             ///< needs, whether or not experts are run
  kRoutedExperts,  ///< each token uses k of the E that are stacked
  kSharedExpert,
};

/// A tensor of the checkpoint, or one for each expert, and the rows of the weight that it fills.
struct WeightPart {
  std::string pattern;  ///< of its name: see WeightNames
  int64_t layer = 0;
  bool each_expert = false;  ///< fills rows of each of the stacked matrices; else of the first
                             ///< dimension
  int64_t first_row = 0;
  int64_t rows = 0;
  Arrangement arrangement{};
  int order = 0;  ///< among a layer's tensors, in messages and in files that are written
};

/// A weight of the model: what it is like, which tensors of a checkpoint it is made of, and where
/// it belongs.
struct WeightSpec {
  std::vector<int64_t> shape;  ///< [N], [M, N] or [E, M, N]
  Keep keep = Keep::kComputeDtype;
  Start start = Start::kNormal;
  Role role = Role::kRouting;
  /// Puts it into its layer; nothing outside the layers.
  void (*set)(LayerWeights& layer, tensor::Weight weight) = nullptr;
  std::vector<WeightPart> parts{};

  int64_t size() const;  ///< product of the shape
};

/// How a layer's experts lie in the checkpoint.
struct ExpertLayout {
  /// Two tensors a layer, [E, 2I, H] and [E, H, I], instead of three an expert: gate, up, down.
  bool fused = false;
  bool transposed = false;        ///< of the fused: they are [E, H, 2I] and [E, I, H]
  bool interleaved = false;       ///< of the fused: rows are gate, up, gate, up, ...
  bool bias_interleaved = false;  ///< the same of the biases [E, 2I]
};

/// The weights of a decoder layer, in the order in which they are made.
std::vector<WeightSpec> describe_layer(const ModelConfig& config, const WeightNames& names,
                                       int64_t layer, const ExpertLayout& experts = {});

/// The weights outside the layers.
struct OuterWeightSpecs {
  WeightSpec embedding;
  WeightSpec final_norm;
  std::optional<WeightSpec> final_norm_bias;
  WeightSpec lm_head;  ///< of a tied model: the embedding once more
  std::optional<WeightSpec> lm_head_bias;
};
OuterWeightSpecs describe_outer_weights(const ModelConfig& config, const WeightNames& names);

/// A tensor of a checkpoint: one of those that a part stands for.
struct PartTensor {
  const WeightSpec* weight;
  const WeightPart* part;
  int64_t expert = 0;

  std::string name() const;
  std::vector<int64_t> shape() const;  ///< in the checkpoint
  /// The rows of the weight that it fills.
  tensor::Weight rows_of(const tensor::Weight& whole) const;
};

/// The tensors that these weights of one layer, or outside the layers, are made of, as checkpoints
/// order them: all of one expert's, then the next one's. Points into `specs`.
std::vector<PartTensor> tensors_of(std::span<const WeightSpec> specs);

}  // namespace foregate::models
