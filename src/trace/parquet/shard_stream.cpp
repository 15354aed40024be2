#include "trace/parquet/shard_stream.h"

#include <arrow/io/interfaces.h>
#include <arrow/result.h>
#include <arrow/status.h>

#include <exception>
#include <span>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"

namespace foregate::trace {

class ShardStream::Impl : public arrow::io::OutputStream {
 public:
  explicit Impl(const fs::path& path) : file_(path) {}

  arrow::Status Write(const void* data, int64_t size) override;
  using arrow::io::OutputStream::Write;
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> Tell() const override { return static_cast<int64_t>(file_.size()); }
  bool closed() const override { return closed_; }

  AtomicFile file_;
  Sha256 hash_;
  std::exception_ptr failure_;

 private:
  bool closed_ = false;
};

arrow::Status ShardStream::Impl::Write(const void* data, int64_t size) {
  if (failure_) return arrow::Status::IOError("an earlier write failed");
  const std::span bytes(static_cast<const std::byte*>(data), static_cast<size_t>(size));
  try {
    file_.append(bytes);
  } catch (const EnvironmentError& error) {
    failure_ = std::current_exception();
    return arrow::Status::IOError(error.what());
  }
  hash_.update(bytes);
  return arrow::Status::OK();
}

ShardStream::ShardStream(const fs::path& path) : impl_(std::make_shared<Impl>(path)) {}

std::shared_ptr<arrow::io::OutputStream> ShardStream::stream() const {
  return impl_;
}

void ShardStream::rethrow_failure() const {
  if (impl_->failure_) std::rethrow_exception(impl_->failure_);
}

void ShardStream::commit() {
  impl_->file_.commit();
}

int64_t ShardStream::size() const {
  return static_cast<int64_t>(impl_->file_.size());
}

std::string ShardStream::sha256() {
  return impl_->hash_.hex_digest();
}

}  // namespace foregate::trace
