#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "predict/texts/corpus.h"
#include "predict/texts/routed_text.h"
#include "predict/texts/routed_texts.h"
#include "trace/manifest.h"
#include "trace/trace.h"

namespace foregate::testing {

struct SyntheticOptions {
  uint64_t seed = 1;
  int texts_per_dataset = 20;
  int num_experts = 6;
  bool features = true;
  int feature_every = 1;  ///< one text in so many has features
  std::string model = "synthetic";
};

/// A made-up model: hidden states that follow the token id and drift from layer to layer, routers
/// that decide on them. Two datasets, two shards, texts of 1 to 24 tokens, 4 MoE layers, top-2,
/// hidden size 8.
void write_synthetic_trace(const std::filesystem::path& directory,
                           const SyntheticOptions& options = {});

/// A trace directory without features from traces given; every dataset's name must be in them.
void write_trace(const std::filesystem::path& directory, const trace::Geometry& geometry,
                 const std::vector<trace::Trace>& traces);

/// All texts of a selection.
std::vector<predict::RoutedText> read_texts(const predict::Corpus& corpus,
                                            const predict::TextSelection& selection);

}  // namespace foregate::testing
