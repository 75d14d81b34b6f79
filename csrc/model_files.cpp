#include "model_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace efiqa {
namespace {

[[noreturn]] void fail_read(const std::string& what, const std::string& path,
                            const std::string& reason) {
  throw Error(StatusCode::kFileUnreadable, what + " " + path + " " + reason);
}

}  // namespace

std::string read_file(const std::string& path, const FileKind& kind) {
  const std::string what = kind.what;
  struct FileDescriptor {
    int number;
    ~FileDescriptor() {
      if (number >= 0) close(number);
    }
  };
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw Error(StatusCode::kInvalidArgument, what + " path is empty or holds a NUL character");
  }
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const FileDescriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR)
      throw Error(kind.missing, what + " " + path + " does not exist; " + kind.missing_fix);
    fail_read(what, path,
              "cannot be opened: " + std::string(std::strerror(error)) + "; check its permissions");
  }
  struct stat status{};
  if (fstat(file.number, &status) != 0) {
    fail_read(what, path, "cannot be read: " + std::string(std::strerror(errno)));
  }
  if (S_ISDIR(status.st_mode)) fail_read(what, path, "is a folder, expected a file");
  if (!S_ISREG(status.st_mode)) fail_read(what, path, "is not a regular file");
  if (status.st_size == 0) {
    throw Error(kind.bad_size, what + " " + path + " is empty; copy or export it again");
  }
  if (static_cast<std::size_t>(status.st_size) > kind.max_bytes) {
    throw Error(kind.bad_size, what + " " + path + " has " + std::to_string(status.st_size) +
                                   " bytes, expected at most " + std::to_string(kind.max_bytes) +
                                   "; copy it again");
  }
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = read(file.number, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_read(what, path, "cannot be read: " + std::string(std::strerror(errno)));
    if (count == 0) fail_read(what, path, "became shorter while it was read; try again");
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

}  // namespace efiqa
