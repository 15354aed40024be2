#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "tensor/compute.h"
#include "text/datasets/dataset.h"

namespace foregate::collect {

/// What is compared with float32, and on which texts.
struct FidelityOptions {
  std::filesystem::path model;
  std::vector<text::DatasetSpec> data;
  int64_t texts = 60;  ///< shared equally over the datasets
  int64_t max_length = 512;
  tensor::Compute compute = {};
  uint64_t seed = 0;
};

/// Agreement of routing decisions over the same tokens.
struct FidelityRow {
  double same_set = 0;     ///< share of tokens whose k experts are those of float32
  double recall = 0;       ///< share of float32's experts that were chosen
  double top1 = 0;         ///< share of tokens whose first expert is float32's
  double logit_error = 0;  ///< root mean square of the difference of router logits, over that of
                           ///< float32's logits around their mean
};

struct Fidelity {
  std::vector<FidelityRow> layers;  ///< one an MoE layer
  FidelityRow all;                  ///< mean over the layers
  int64_t texts = 0;
  int64_t tokens = 0;
};

/// Routes the texts twice, unquantised in float32 and as asked, and compares. Weights are loaded
/// one after the other; float32's logits of all tokens stay in host memory (4 bytes a token, MoE
/// layer and expert).
Fidelity measure_fidelity(const FidelityOptions& options, const RunContext& run = silent_run());

}  // namespace foregate::collect
