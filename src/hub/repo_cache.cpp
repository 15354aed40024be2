#include "hub/repo_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "hub/listing.h"

namespace foregate::hub {
namespace {

/// The first line is the signature that the Cache Directory Tagging Specification demands.
constexpr const char* kCacheTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Models and datasets of the Hugging Face hub; all of it can be downloaded again.\n";

void make_folders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw_io_error("cannot create", path, error.value());
}

bool has_size(const fs::path& path, uint64_t size) {
  std::error_code error;
  return fs::is_regular_file(path, error) && fs::file_size(path, error) == size && !error;
}

/// Atomically, also when another process writes the same file at the same time.
void write_shared_file(const fs::path& path, const std::string& text) {
  const fs::path own = fmt::format("{}.{}", path.string(), ::getpid());
  write_file_atomically(own, text);
  sync_and_rename(own, path);
}

std::string trimmed_line(std::string text) {
  const size_t last = text.find_last_not_of(" \t\r\n");
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

}  // namespace

RepoCache::RepoCache(const fs::path& cache, const RepoId& repo)
    : cache_(cache), folder_(cache / repo.folder()), locks_(cache / ".locks" / repo.folder()) {}

fs::path RepoCache::blob(const std::string& hash) const {
  return folder_ / "blobs" / hash;
}

fs::path RepoCache::incomplete(const std::string& hash) const {
  return folder_ / "blobs" / (hash + ".incomplete");
}

fs::path RepoCache::lock(const std::string& hash) const {
  return locks_ / (hash + ".lock");
}

fs::path RepoCache::snapshot(const std::string& commit) const {
  return folder_ / "snapshots" / commit;
}

void RepoCache::prepare() const {
  make_folders(folder_ / "blobs");
  make_folders(folder_ / "snapshots");
  make_folders(locks_);
  const fs::path tag = cache_ / "CACHEDIR.TAG";
  std::error_code error;
  if (!fs::exists(tag, error)) write_shared_file(tag, kCacheTag);
}

std::optional<std::string> RepoCache::commit_of(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  const fs::path ref = folder_ / "refs" / revision;
  std::error_code error;
  if (!is_revision(revision) || !fs::is_regular_file(ref, error)) return std::nullopt;
  const std::string commit = trimmed_line(read_file(ref, 4096));
  if (!is_commit(commit)) return std::nullopt;
  return commit;
}

void RepoCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit || commit_of(revision) == commit) return;
  const fs::path ref = folder_ / "refs" / revision;
  make_folders(ref.parent_path());
  write_shared_file(ref, commit);
}

bool RepoCache::has_file(const std::string& commit, const std::string& path, uint64_t size) const {
  return has_size(snapshot(commit) / path, size);
}

bool RepoCache::has_blob(const std::string& hash, uint64_t size) const {
  return has_size(blob(hash), size);
}

uint64_t RepoCache::incomplete_size(const std::string& hash) const {
  std::error_code error;
  const uint64_t size = fs::file_size(incomplete(hash), error);
  return error ? 0 : size;
}

void RepoCache::link(const std::string& commit, const std::string& path,
                     const std::string& hash) const {
  const fs::path pointer = snapshot(commit) / path;
  const fs::path target = blob(hash).lexically_relative(pointer.parent_path());
  make_folders(pointer.parent_path());
  if (::symlink(target.c_str(), pointer.c_str()) == 0) return;
  std::error_code error;
  if (errno == EEXIST && fs::read_symlink(pointer, error) == target) return;
  // Something else is there, of another size than the hub's file: it gives way.
  if (errno == EEXIST) {
    fs::remove(pointer, error);
    if (!error && ::symlink(target.c_str(), pointer.c_str()) == 0) return;
  }
  throw_io_error("cannot make the link", pointer, errno);
}

bool is_revision(const std::string& revision) {
  if (revision.empty() || revision.front() == '/' || revision.front() == '-' ||
      revision.back() == '/' || revision.ends_with(".lock")) {
    return false;
  }
  for (const char c : revision) {
    if (static_cast<unsigned char>(c) <= ' ' ||
        std::string_view("~^:?*[\\\x7f").find(c) != std::string_view::npos) {
      return false;
    }
  }
  return revision.find("..") == std::string::npos && revision.find("//") == std::string::npos;
}

}  // namespace foregate::hub
