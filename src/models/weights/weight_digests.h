#pragma once

#include <filesystem>
#include <vector>

#include "base/file_digest.h"
#include "models/config.h"

namespace foregate::models {

/// Names the weights of a model (a directory, or a GGUF file), to tell later whether they are still
/// the same. Of each file: its header, whole vectors and routers, and of every other tensor 4 KB in
/// each 8 MB, at places that its name gives. So a checkpoint of 100 GB takes seconds, and one that
/// was trained on, merged or shuffled has another digest; a change of single numbers in a large
/// matrix may go unseen.
///
/// Throws EnvironmentError or DataError if a file is missing or broken.
std::vector<FileDigest> weight_digests(const std::filesystem::path& model,
                                       const ModelConfig& config);

}  // namespace foregate::models
